data "aws_region" "here" {}

data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

locals {
  region    = data.aws_region.here.region
  account   = data.aws_caller_identity.here.account_id
  partition = data.aws_partition.here.partition
  host_name = var.host_name == "" ? aws_lb.this.dns_name : var.host_name
  url       = var.https ? "https://${local.host_name}" : "http://${local.host_name}:${var.port}"

  secrets = merge({ PGPASSWORD = var.password_secret_arn }, var.broker == null ? {} : { MQTT_KEY = var.broker.key_secret_arn })

  # Each directory is a service of its own, for each has a data folder of its own, which no other may have meanwhile.
  replicas = toset([for index in range(var.replicas) : tostring(index + 1)])
}

resource "aws_ecs_cluster" "this" {
  name = var.name
  tags = var.tags

  configuration {
    execute_command_configuration {
      logging = "OVERRIDE"

      log_configuration {
        cloud_watch_log_group_name = var.logs.services
      }
    }
  }
}

resource "aws_ecs_task_definition" "this" {
  for_each = local.replicas

  family                   = "${var.name}-directory-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.size.cpu
  memory                   = var.size.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  tags                     = var.tags

  container_definitions = templatefile("${path.module}/containers.json.tftpl", {
    image            = jsonencode(var.image)
    agent_image      = jsonencode(var.agent_image)
    public           = jsonencode(local.url)
    store            = jsonencode(var.store)
    database_ca      = jsonencode(var.database_ca)
    mqtt             = jsonencode(var.broker == null ? "" : "mqtts://${var.broker.host}:8883")
    mqtt_cert        = jsonencode(var.broker == null ? "" : var.broker.certificate)
    secrets          = jsonencode([for name, arn in local.secrets : { name = name, valueFrom = arn }])
    agent            = jsonencode(var.agent_configuration.agent)
    scraper          = jsonencode(var.agent_configuration.scraper)
    log_group        = jsonencode(var.logs.services)
    region           = jsonencode(local.region)
    directory_stream = jsonencode("directory-${each.key}")
    metrics_stream   = jsonencode("metrics-${each.key}")
  })

  runtime_platform {
    cpu_architecture        = "ARM64"
    operating_system_family = "LINUX"
  }

  dynamic "volume" {
    for_each = { keys = aws_efs_access_point.keys.id, data = aws_efs_access_point.data[each.key].id }

    content {
      name = volume.key

      efs_volume_configuration {
        file_system_id     = aws_efs_file_system.this.id
        transit_encryption = "ENABLED"

        authorization_config {
          access_point_id = volume.value
          iam             = "ENABLED"
        }
      }
    }
  }
}

resource "aws_ecs_service" "this" {
  for_each = local.replicas

  name                               = "directory-${each.key}"
  cluster                            = aws_ecs_cluster.this.id
  task_definition                    = aws_ecs_task_definition.this[each.key].arn
  desired_count                      = 1
  launch_type                        = "FARGATE"
  enable_execute_command             = true
  enable_ecs_managed_tags            = true
  propagate_tags                     = "SERVICE"
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100
  health_check_grace_period_seconds  = 60
  tags                               = var.tags

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = values(var.public_subnet_ids)
    security_groups  = [aws_security_group.this.id]
    assign_public_ip = true # there is no other way to images, secrets and broker; the group lets nobody in but the balancer
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this.arn
    container_name   = "directory"
    container_port   = 7800
  }

  depends_on = [aws_lb_listener.tcp, aws_efs_mount_target.this, aws_iam_role_policy.execution, aws_iam_role_policy.task]
}
