locals {
  assume = templatefile("${path.module}/policies/assume.json.tftpl", {
    partition = local.partition
    region    = local.region
    account   = local.account
  })
}

# What starts the containers: images, secrets, logs.
resource "aws_iam_role" "execution" {
  name               = "${var.name}-directory-execution"
  assume_role_policy = local.assume
  tags               = var.tags
}

resource "aws_iam_role_policy" "execution" {
  name = "execution"
  role = aws_iam_role.execution.id
  policy = templatefile("${path.module}/policies/execution.json.tftpl", {
    partition            = local.partition
    region               = local.region
    account              = local.account
    log_group            = var.logs.services
    secret_arns          = jsonencode(values(local.secrets))
    image_repository_arn = var.image_repository_arn == "" ? "arn:${local.partition}:ecr:${local.region}:${local.account}:repository/none" : var.image_repository_arn
    kms_key_arn          = var.kms_key_arn == "" ? "arn:${local.partition}:kms:${local.region}:${local.account}:key/none" : var.kms_key_arn
  })
}

# What runs in them. A directory itself needs nothing of AWS but its files.
resource "aws_iam_role" "task" {
  name               = "${var.name}-directory"
  assume_role_policy = local.assume
  tags               = var.tags
}

resource "aws_iam_role_policy" "task" {
  name = "task"
  role = aws_iam_role.task.id
  policy = templatefile("${path.module}/policies/task.json.tftpl", {
    partition         = local.partition
    region            = local.region
    account           = local.account
    log_group         = var.logs.services
    metrics_log_group = var.logs.metrics
    file_system_arn   = aws_efs_file_system.this.arn
    access_point_arns = jsonencode(concat([aws_efs_access_point.keys.arn], [for point in aws_efs_access_point.data : point.arn]))
  })
}
