resource "aws_iam_role" "this" {
  for_each = var.rendezvous

  name               = "${var.name}-${each.key}-${local.region}"
  assume_role_policy = templatefile("${path.module}/policies/assume.json.tftpl", { account = local.account })
  tags               = var.tags
}

resource "aws_iam_instance_profile" "this" {
  for_each = var.rendezvous

  name = "${var.name}-${each.key}-${local.region}"
  role = aws_iam_role.this[each.key].name
  tags = var.tags
}

resource "aws_iam_role_policy" "this" {
  for_each = var.rendezvous

  name = "machine"
  role = aws_iam_role.this[each.key].id
  policy = templatefile("${path.module}/policies/machine.json.tftpl", {
    partition            = local.partition
    region               = local.region
    account              = local.account
    group                = "${var.name}-${each.key}"
    secret_arn           = var.secret_arns[each.key]
    address              = aws_eip.this[each.key].allocation_id
    volume               = aws_ebs_volume.this[each.key].id
    log_group            = var.logs.services
    metrics_log_group    = var.logs.metrics
    image_repository_arn = var.image_repository_arn == "" ? "arn:${local.partition}:ecr:${local.region}:${local.account}:repository/none" : var.image_repository_arn
    kms_key_arn          = var.kms_key_arn == "" ? "arn:${local.partition}:kms:${local.region}:${local.account}:key/none" : var.kms_key_arn
  })
}
