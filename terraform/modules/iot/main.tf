data "aws_region" "here" {}

data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

data "aws_iot_endpoint" "data" {
  endpoint_type = "iot:Data-ATS"
}

locals {
  # DIRECTORY of docs/mqtt.md: words behind their lengths, two bytes each; 50 (a "2") is that of a fingerprint.
  directory = substr(sha256("\u0000\u0007sshnp/1\u0000\u0005topic\u0000\tdirectory\u00002${var.fingerprint}"), 0, 32)

  names = {
    partition = data.aws_partition.here.partition
    region    = data.aws_region.here.region
    account   = data.aws_caller_identity.here.account_id
    name      = var.name
    directory = local.directory
  }
}

resource "aws_iot_thing_type" "device" {
  name = "${var.name}-device"
  tags = var.tags

  properties {
    description = "A device of sshnp; it is called by a hash of its name"
  }
}

resource "aws_iot_thing_group" "devices" {
  name = "${var.name}-devices"
  tags = var.tags

  properties {
    description = "Devices that came by themselves, each with a certificate of the authority"
  }
}

resource "aws_iot_policy" "device" {
  name   = "${var.name}-device"
  policy = templatefile("${path.module}/policies/device.json.tftpl", local.names)
  tags   = var.tags
}

resource "aws_iot_policy" "directory" {
  name   = "${var.name}-directory"
  policy = templatefile("${path.module}/policies/directory.json.tftpl", local.names)
  tags   = var.tags
}

# From a request, so that the key was never anywhere but where it was made.
resource "aws_iot_certificate" "directory" {
  active = true
  csr    = var.directory_request
}

resource "aws_iot_policy_attachment" "directory" {
  policy = aws_iot_policy.directory.name
  target = aws_iot_certificate.directory.arn
}

# A device becomes a thing with its first connection: a certificate of this authority is all that it needs, and all that counts.
resource "aws_iot_ca_certificate" "devices" {
  active                  = true
  allow_auto_registration = true
  ca_certificate_pem      = var.device_ca
  certificate_mode        = "SNI_ONLY"
  tags                    = var.tags

  registration_config {
    role_arn      = aws_iam_role.provisioning.arn
    template_name = aws_iot_provisioning_template.devices.name
  }
}

resource "aws_iot_provisioning_template" "devices" {
  name                  = "${var.name}-devices"
  description           = "A thing for each certificate of the authority, called by its common name"
  type                  = "JITP"
  enabled               = true
  provisioning_role_arn = aws_iam_role.provisioning.arn
  tags                  = var.tags

  template_body = templatefile("${path.module}/policies/provisioning.json.tftpl", {
    thing_type  = aws_iot_thing_type.device.name
    thing_group = aws_iot_thing_group.devices.name
    policy      = aws_iot_policy.device.name
  })

  depends_on = [aws_iam_role_policy.provisioning]
}

resource "aws_iam_role" "provisioning" {
  name               = "${var.name}-iot-provisioning"
  assume_role_policy = templatefile("${path.module}/policies/assume.json.tftpl", local.names)
  tags               = var.tags
}

resource "aws_iam_role_policy" "provisioning" {
  name   = "provisioning"
  role   = aws_iam_role.provisioning.id
  policy = templatefile("${path.module}/policies/provisioning-role.json.tftpl", local.names)
}

# Who was connected when, from where, and why it ended. The directory goes by what devices say themselves, since this comes
# twice, late and in any order.
resource "aws_iot_topic_rule" "presence" {
  name        = replace("${var.name}_presence", "-", "_")
  description = "Connections of things to a log group"
  enabled     = true
  sql         = "SELECT * FROM '$aws/events/presence/+/+'"
  sql_version = "2016-03-23"
  tags        = var.tags

  cloudwatch_logs {
    log_group_name = aws_cloudwatch_log_group.presence.name
    role_arn       = aws_iam_role.presence.arn
  }

  error_action {
    cloudwatch_logs {
      log_group_name = aws_cloudwatch_log_group.presence.name
      role_arn       = aws_iam_role.presence.arn
    }
  }
}

resource "aws_cloudwatch_log_group" "presence" {
  name              = "/${var.name}/presence"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

resource "aws_iam_role" "presence" {
  name               = "${var.name}-iot-presence"
  assume_role_policy = templatefile("${path.module}/policies/assume.json.tftpl", local.names)
  tags               = var.tags
}

resource "aws_iam_role_policy" "presence" {
  name = "presence"
  role = aws_iam_role.presence.id
  policy = templatefile("${path.module}/policies/presence-role.json.tftpl", {
    log_group_arn = aws_cloudwatch_log_group.presence.arn
  })
}
