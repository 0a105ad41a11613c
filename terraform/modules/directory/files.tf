# The private keys that all directories share, and a data folder for each. Whoever has the keys is the directory: no other role
# than the directories' own may mount them.
resource "aws_efs_file_system" "this" {
  encrypted        = true
  kms_key_id       = var.kms_key_arn == "" ? null : var.kms_key_arn
  performance_mode = "generalPurpose"
  throughput_mode  = "elastic"
  tags             = merge(var.tags, { Name = "${var.name}-directory" })
}

resource "aws_efs_backup_policy" "this" {
  file_system_id = aws_efs_file_system.this.id

  backup_policy {
    status = "ENABLED"
  }
}

resource "aws_efs_mount_target" "this" {
  for_each = var.private_subnet_ids

  file_system_id  = aws_efs_file_system.this.id
  subnet_id       = each.value
  security_groups = [aws_security_group.files.id]
}

resource "aws_efs_access_point" "keys" {
  file_system_id = aws_efs_file_system.this.id
  tags           = merge(var.tags, { Name = "${var.name}-keys" })

  posix_user {
    uid = 1000
    gid = 1000
  }

  root_directory {
    path = "/keys"

    creation_info {
      owner_uid   = 1000
      owner_gid   = 1000
      permissions = "0700"
    }
  }
}

resource "aws_efs_access_point" "data" {
  for_each = local.replicas

  file_system_id = aws_efs_file_system.this.id
  tags           = merge(var.tags, { Name = "${var.name}-data-${each.key}" })

  posix_user {
    uid = 1000
    gid = 1000
  }

  root_directory {
    path = "/data-${each.key}"

    creation_info {
      owner_uid   = 1000
      owner_gid   = 1000
      permissions = "0700"
    }
  }
}

resource "aws_efs_file_system_policy" "this" {
  file_system_id = aws_efs_file_system.this.id
  policy = templatefile("${path.module}/policies/files.json.tftpl", {
    file_system_arn   = aws_efs_file_system.this.arn
    task_role_arn     = aws_iam_role.task.arn
    access_point_arns = jsonencode(concat([aws_efs_access_point.keys.arn], [for point in aws_efs_access_point.data : point.arn]))
  })
}
