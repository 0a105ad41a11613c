# Ephemeral values and write-only arguments: neither state nor plan ever holds one of these secrets.
ephemeral "aws_secretsmanager_random_password" "generated" {
  for_each = var.generated

  password_length     = 48
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "generated" {
  for_each = var.generated

  name                    = "${var.name}/${each.key}"
  description             = "Made by terraform, read by nothing but the services"
  kms_key_id              = var.kms_key_arn == "" ? null : var.kms_key_arn
  recovery_window_in_days = var.recovery_days
  tags                    = var.tags
}

resource "aws_secretsmanager_secret_version" "generated" {
  for_each = var.generated

  secret_id                = aws_secretsmanager_secret.generated[each.key].id
  secret_string_wo         = ephemeral.aws_secretsmanager_random_password.generated[each.key].random_password
  secret_string_wo_version = each.value
}

resource "aws_secretsmanager_secret" "given" {
  for_each = var.given

  name                    = "${var.name}/${each.key}"
  description             = each.value
  kms_key_id              = var.kms_key_arn == "" ? null : var.kms_key_arn
  recovery_window_in_days = var.recovery_days
  tags                    = var.tags
}
