variables {
  name  = "np"
  cidr  = "10.20.0.0/16"
  zones = ["eu-west-1a", "eu-west-1b"]
}

run "subnets" {
  command = plan

  assert {
    condition     = output.public_subnets == tomap({ eu-west-1a = "10.20.0.0/20", eu-west-1b = "10.20.16.0/20" })
    error_message = "The public subnets are the first parts."
  }

  assert {
    condition     = output.private_subnets == tomap({ eu-west-1a = "10.20.128.0/20", eu-west-1b = "10.20.144.0/20" })
    error_message = "The private subnets are those from the ninth on."
  }
}

run "more_zones_move_nobody" {
  command = plan

  variables {
    zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c", "eu-west-1d"]
  }

  assert {
    condition     = output.public_subnets["eu-west-1b"] == "10.20.16.0/20" && output.private_subnets["eu-west-1b"] == "10.20.144.0/20"
    error_message = "A zone keeps its subnets."
  }

  assert {
    condition     = length(distinct(concat(values(output.public_subnets), values(output.private_subnets)))) == 8
    error_message = "No subnet is there twice."
  }
}

run "smallest_network" {
  command = plan

  variables {
    cidr = "192.168.4.0/22"
  }

  assert {
    condition     = output.private_subnets["eu-west-1b"] == "192.168.6.64/26"
    error_message = "A sixteenth of a /22 is a /26."
  }
}

run "tags" {
  command = plan

  variables {
    tags = { team = "gateways", sshnp = "something else" }
  }

  assert {
    condition     = output.tags == tomap({ team = "gateways", sshnp = "np", managed-by = "terraform" })
    error_message = "The name's tag is ours."
  }
}

run "long_name" {
  command         = plan
  expect_failures = [var.name]

  variables {
    name = "a-system-with-a-name-that-is-too-long"
  }
}

run "two_hyphens" {
  command         = plan
  expect_failures = [var.name]

  variables {
    name = "np--test"
  }
}

run "public_addresses" {
  command         = plan
  expect_failures = [var.cidr]

  variables {
    cidr = "8.8.0.0/16"
  }
}

run "small_network" {
  command         = plan
  expect_failures = [var.cidr]

  variables {
    cidr = "10.20.0.0/24"
  }
}

run "bits_behind_the_prefix" {
  command         = plan
  expect_failures = [var.cidr]

  variables {
    cidr = "10.20.0.1/16"
  }
}

run "one_zone" {
  command         = plan
  expect_failures = [var.zones]

  variables {
    zones = ["eu-west-1a"]
  }
}

run "a_zone_twice" {
  command         = plan
  expect_failures = [var.zones]

  variables {
    zones = ["eu-west-1a", "eu-west-1a"]
  }
}

run "no_zone" {
  command         = plan
  expect_failures = [var.zones]

  variables {
    zones = ["eu-west-1a", "eu-west-1"]
  }
}

run "reserved_tag" {
  command         = plan
  expect_failures = [var.tags]

  variables {
    tags = { "aws:team" = "gateways" }
  }
}
