variables {
  database_ca_file     = "tests/ca.pem"
  image_repository_arn = "arn:aws:ecr:eu-west-1:111122223333:repository/np/directory"

  images = {
    directory = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/np/directory@sha256:1111111111111111111111111111111111111111111111111111111111111111"
    device    = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/np/device@sha256:2222222222222222222222222222222222222222222222222222222222222222"
    agent     = "public.ecr.aws/cloudwatch-agent/cloudwatch-agent@sha256:3333333333333333333333333333333333333333333333333333333333333333"
  }
}

# Nobody knows the fingerprint yet: a directory and its database.
run "first_apply" {
  command = plan

  assert {
    condition     = output.directory_address == "" && output.client_configuration == "" && length(output.rendezvous_addresses) == 0
    error_message = "There is no address without a fingerprint."
  }
}

run "second_apply" {
  command = plan

  variables {
    fingerprint = "SHA256:zoDFW6rP8ngC8URg2sG/m9Rij43qu8M++V+B72RnQQs"
    owner       = "@device=SHA256:zoDFW6rP8ngC8URg2sG/m9Rij43qu8M++V+B72RnQQs"
  }

  assert {
    condition     = keys(output.rendezvous_addresses) == ["one"]
    error_message = "There is a rendezvous."
  }
}

run "image_by_tag" {
  command         = plan
  expect_failures = [var.images]

  variables {
    images = { directory = "np/directory:latest", device = "np/device:latest", agent = "agent:latest" }
  }
}

run "no_certificates_of_the_database" {
  command         = plan
  expect_failures = [var.database_ca_file]

  variables {
    database_ca_file = "missing.pem"
  }
}

run "half_a_fingerprint" {
  command         = plan
  expect_failures = [var.fingerprint]

  variables {
    fingerprint = "SHA256:zoDFW6rP8ngC8URg2sG"
  }
}
