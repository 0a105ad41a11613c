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
    condition     = length(output.rendezvous_addresses) == 0
    error_message = "There is no rendezvous without a fingerprint."
  }
}

run "second_apply" {
  command = plan

  variables {
    fingerprint = "SHA256:zoDFW6rP8ngC8URg2sG/m9Rij43qu8M++V+B72RnQQs"
  }

  assert {
    condition     = keys(output.rendezvous_addresses) == ["america1", "america2", "asia1", "asia2", "europe1", "europe2"]
    error_message = "There are two rendezvous in each region."
  }
}
