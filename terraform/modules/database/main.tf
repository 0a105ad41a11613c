locals {
  kms_key_id = var.kms_key_arn == "" ? null : var.kms_key_arn
  version    = var.engine == "aurora" ? var.aurora.version : var.rds.version
  family     = "${var.engine == "aurora" ? "aurora-postgresql" : "postgres"}${split(".", local.version)[0]}"
}

# Read when it is needed, and in no state.
ephemeral "aws_secretsmanager_secret_version" "password" {
  secret_id = var.password_secret_arn
}

resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.subnet_ids
  tags       = var.tags
}

resource "aws_security_group" "this" {
  name        = "${var.name}-database"
  description = "PostgreSQL, for the directories alone"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-database" })
}

resource "aws_vpc_security_group_ingress_rule" "directories" {
  security_group_id            = aws_security_group.this.id
  description                  = "directories"
  referenced_security_group_id = var.client_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  tags                         = var.tags
}

resource "aws_rds_cluster_parameter_group" "this" {
  count = var.engine == "aurora" ? 1 : 0

  name   = var.name
  family = local.family
  tags   = var.tags

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
}

resource "aws_rds_cluster" "this" {
  count = var.engine == "aurora" ? 1 : 0

  cluster_identifier                  = var.name
  engine                              = "aurora-postgresql"
  engine_version                      = local.version
  database_name                       = "sshnp"
  master_username                     = "sshnp"
  master_password_wo                  = ephemeral.aws_secretsmanager_secret_version.password.secret_string
  master_password_wo_version          = var.password_version
  db_subnet_group_name                = aws_db_subnet_group.this.name
  vpc_security_group_ids              = [aws_security_group.this.id]
  db_cluster_parameter_group_name     = aws_rds_cluster_parameter_group.this[0].name
  storage_encrypted                   = true
  kms_key_id                          = local.kms_key_id
  backup_retention_period             = var.backup_days
  copy_tags_to_snapshot               = true
  deletion_protection                 = var.deletion_protection
  skip_final_snapshot                 = !var.last_snapshot
  final_snapshot_identifier           = "${var.name}-last"
  enabled_cloudwatch_logs_exports     = ["postgresql"]
  iam_database_authentication_enabled = false
  tags                                = var.tags

  serverlessv2_scaling_configuration {
    min_capacity = var.aurora.min_acu
    max_capacity = var.aurora.max_acu
  }
}

resource "aws_rds_cluster_instance" "this" {
  count = var.engine == "aurora" ? var.aurora.instances : 0

  identifier                   = "${var.name}-${count.index + 1}"
  cluster_identifier           = aws_rds_cluster.this[0].id
  engine                       = aws_rds_cluster.this[0].engine
  engine_version               = aws_rds_cluster.this[0].engine_version
  instance_class               = "db.serverless"
  promotion_tier               = count.index
  publicly_accessible          = false
  auto_minor_version_upgrade   = true
  performance_insights_enabled = true
  tags                         = var.tags
}

resource "aws_db_parameter_group" "this" {
  count = var.engine == "rds" ? 1 : 0

  name   = var.name
  family = local.family
  tags   = var.tags

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
}

resource "aws_db_instance" "this" {
  count = var.engine == "rds" ? 1 : 0

  identifier                      = var.name
  engine                          = "postgres"
  engine_version                  = local.version
  instance_class                  = var.rds.instance_class
  allocated_storage               = var.rds.storage
  max_allocated_storage           = var.rds.storage * 4
  storage_type                    = "gp3"
  storage_encrypted               = true
  kms_key_id                      = local.kms_key_id
  db_name                         = "sshnp"
  username                        = "sshnp"
  password_wo                     = ephemeral.aws_secretsmanager_secret_version.password.secret_string
  password_wo_version             = var.password_version
  db_subnet_group_name            = aws_db_subnet_group.this.name
  vpc_security_group_ids          = [aws_security_group.this.id]
  parameter_group_name            = aws_db_parameter_group.this[0].name
  multi_az                        = var.rds.multi_az
  publicly_accessible             = false
  auto_minor_version_upgrade      = true
  backup_retention_period         = var.backup_days
  copy_tags_to_snapshot           = true
  deletion_protection             = var.deletion_protection
  skip_final_snapshot             = !var.last_snapshot
  final_snapshot_identifier       = "${var.name}-last"
  enabled_cloudwatch_logs_exports = ["postgresql"]
  tags                            = var.tags
}
