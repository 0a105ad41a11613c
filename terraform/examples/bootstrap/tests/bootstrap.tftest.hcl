run "apply" {
  command = plan

  assert {
    condition     = keys(output.repositories) == ["device", "directory"]
    error_message = "There is a repository for each image."
  }
}

run "no_region" {
  command         = plan
  expect_failures = [var.region]

  variables {
    region = "europe"
  }
}
