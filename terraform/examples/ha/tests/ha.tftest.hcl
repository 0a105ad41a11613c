variables {
  database_ca_file     = "tests/ca.pem"
  image_repository_arn = "arn:aws:ecr:eu-west-1:111122223333:repository/np/directory"

  images = {
    directory = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/np/directory@sha256:1111111111111111111111111111111111111111111111111111111111111111"
    device    = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/np/device@sha256:2222222222222222222222222222222222222222222222222222222222222222"
    agent     = "public.ecr.aws/cloudwatch-agent/cloudwatch-agent@sha256:3333333333333333333333333333333333333333333333333333333333333333"
  }
}

run "first_apply" {
  command = plan

  assert {
    condition     = output.directory_address == "" && output.iot_endpoint == ""
    error_message = "There is no address without a fingerprint."
  }
}

run "second_apply" {
  command = plan

  variables {
    fingerprint = "SHA256:zoDFW6rP8ngC8URg2sG/m9Rij43qu8M++V+B72RnQQs"
    owner       = "@device=SHA256:zoDFW6rP8ngC8URg2sG/m9Rij43qu8M++V+B72RnQQs"
    managers    = ["@client=SHA256:zoDFW6rP8ngC8URg2sG/m9Rij43qu8M++V+B72RnQQs"]
    broker      = { device_ca_file = "tests/ca.pem", request_file = "tests/request.pem" }
    dns         = { host_name = "np.example.org", zone_id = "Z0123456789ABC" }
    https       = true
  }

  assert {
    condition     = output.directory_url == "https://np.example.org"
    error_message = "The directory is called by its own name."
  }

  assert {
    condition     = keys(output.rendezvous_addresses) == ["rz1", "rz2"]
    error_message = "There is a rendezvous in each zone."
  }
}

run "https_without_a_name" {
  command         = plan
  expect_failures = [var.https]

  variables {
    https = true
  }
}

run "devices_that_nobody_reaches" {
  command         = plan
  expect_failures = [var.managers]

  variables {
    owner = "@device=SHA256:zoDFW6rP8ngC8URg2sG/m9Rij43qu8M++V+B72RnQQs"
  }
}
