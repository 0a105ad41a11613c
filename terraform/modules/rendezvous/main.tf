data "aws_region" "here" {}

data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

locals {
  partition = data.aws_partition.here.partition
  region    = data.aws_region.here.region
  account   = data.aws_caller_identity.here.account_id
  registry  = split("/", var.image)[0]

  machine = { for name in fileset("${path.module}/machine", "*") : name => base64encode(file("${path.module}/machine/${name}")) }
}

# What makes one the same rendezvous after its machine was replaced: its address, and the volume with its keys.
resource "aws_eip" "this" {
  for_each = var.rendezvous

  domain = "vpc"
  tags   = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_ebs_volume" "this" {
  for_each = var.rendezvous

  availability_zone = each.value
  size              = 1
  type              = "gp3"
  encrypted         = true
  kms_key_id        = var.kms_key_arn == "" ? null : var.kms_key_arn
  tags              = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_launch_template" "this" {
  for_each = var.rendezvous

  name                   = "${var.name}-${each.key}"
  image_id               = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
  instance_type          = var.instance_type
  update_default_version = true
  ebs_optimized          = true
  tags                   = var.tags

  user_data = base64encode(templatefile("${path.module}/user-data.yaml.tftpl", {
    prepare_script = local.machine["prepare"]
    drain_script   = local.machine["drain"]
    service_unit   = local.machine["sshnp-rendezvous.service"]
    drain_unit     = local.machine["sshnp-rendezvous-drain.service"]
    agent          = base64encode(var.agent_configuration.agent)
    scraper        = base64encode(var.agent_configuration.scraper)

    directory     = var.directory_address
    public        = "${aws_eip.this[each.key].public_ip}:7801"
    region_name   = var.region_name
    drain_seconds = var.drain_seconds
    stop_seconds  = var.drain_seconds + 15

    image      = var.image
    registry   = var.image_repository_arn == "" ? "" : local.registry
    region     = local.region
    address    = aws_eip.this[each.key].allocation_id
    volume     = aws_ebs_volume.this[each.key].id
    secret     = var.secret_arns[each.key]
    group      = "${var.name}-${each.key}"
    hook       = "drain"
    log_group  = var.logs.services
    log_stream = each.key
  }))

  iam_instance_profile {
    arn = aws_iam_instance_profile.this[each.key].arn
  }

  # Version 2 alone, and one hop: what runs in the container gets no credentials of the machine.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }

  monitoring {
    enabled = false
  }

  network_interfaces {
    associate_public_ip_address = true # until it has its own
    delete_on_termination       = true
    security_groups             = [aws_security_group.this.id]
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = 8
      volume_type           = "gp3"
      encrypted             = true
      kms_key_id            = var.kms_key_arn == "" ? null : var.kms_key_arn
      delete_on_termination = true
    }
  }

  tag_specifications {
    resource_type = "instance"
    tags          = merge(var.tags, { Name = "${var.name}-${each.key}", sshnp-rendezvous = "${var.name}-${each.key}" })
  }

  tag_specifications {
    resource_type = "volume"
    tags          = merge(var.tags, { Name = "${var.name}-${each.key}" })
  }
}

# One machine each, made anew whenever it is lost. A group of many could not give each its own address and keys.
resource "aws_autoscaling_group" "this" {
  for_each = var.rendezvous

  name                      = "${var.name}-${each.key}"
  min_size                  = 1
  max_size                  = 1
  desired_capacity          = 1
  vpc_zone_identifier       = [var.subnet_ids[each.value]]
  health_check_type         = "EC2"
  health_check_grace_period = 300
  wait_for_capacity_timeout = "0"

  launch_template {
    id      = aws_launch_template.this[each.key].id
    version = aws_launch_template.this[each.key].latest_version
  }

  # Drained first: address and volume can be had by one machine alone.
  instance_maintenance_policy {
    min_healthy_percentage = 0
    max_healthy_percentage = 100
  }

  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 0
      max_healthy_percentage = 100
      instance_warmup        = "120"
    }
  }

  initial_lifecycle_hook {
    name                 = "drain"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = var.drain_seconds + 120
    default_result       = "CONTINUE"
  }

  dynamic "tag" {
    for_each = merge(var.tags, { Name = "${var.name}-${each.key}" })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false
    }
  }

  depends_on = [aws_iam_role_policy.this]
}

resource "aws_security_group" "this" {
  name        = "${var.name}-rendezvous"
  description = "Rendezvous"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-rendezvous" })
}

resource "aws_vpc_security_group_ingress_rule" "listeners" {
  for_each = toset(var.allowed_cidrs)

  security_group_id = aws_security_group.this.id
  description       = "devices and people"
  cidr_ipv4         = each.key
  ip_protocol       = "tcp"
  from_port         = 7801
  to_port           = 7801
  tags              = var.tags
}

# The directory, wherever it is, and AWS's services, which have no fixed addresses.
resource "aws_vpc_security_group_egress_rule" "services" {
  for_each = toset(distinct(["443", tostring(var.directory_port)]))

  security_group_id = aws_security_group.this.id
  description       = "directory and AWS"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.key)
  to_port           = tonumber(each.key)
  tags              = var.tags
}
