locals {
  kms_key_id = var.kms_key_arn == "" ? null : var.kms_key_arn
  actions    = var.topic_arn == "" ? [] : [var.topic_arn]
  jobs       = { directory = "sshnp-directory", rendezvous = "sshnp-rendezvous" }

  alarms = {
    for name, alarm in jsondecode(file("${path.module}/alarms.json")) : name => alarm
    if anytrue([for service in var.services : local.jobs[service] == alarm.job]) && (var.has_broker || !startswith(name, "broker-"))
  }

  # What the agent takes of all that a service says, as each metric is paid for.
  selectors = { for service, job in local.jobs : service => distinct(flatten([
    for alarm in jsondecode(file("${path.module}/alarms.json")) : [for metric in compact([alarm.metric, try(alarm.of, "")]) : "^${metric}$"] if alarm.job == job
  ])) }
}

resource "aws_cloudwatch_log_group" "services" {
  name              = "/${var.name}/services"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.kms_key_id
  tags              = var.tags
}

resource "aws_cloudwatch_log_group" "metrics" {
  name              = "/${var.name}/metrics"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.kms_key_id
  tags              = var.tags
}

resource "aws_cloudwatch_metric_alarm" "services" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.says
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  evaluation_periods  = each.value.minutes
  treat_missing_data  = each.value.missing
  alarm_actions       = local.actions
  ok_actions          = local.actions
  tags                = var.tags

  # The metric, or what percentage it is of another one.
  metric_query {
    id          = "result"
    expression  = can(each.value.of) ? "100 * part / whole" : "part"
    label       = each.value.metric
    return_data = true
  }

  dynamic "metric_query" {
    for_each = merge({ part = each.value.metric }, can(each.value.of) ? { whole = each.value.of } : {})

    content {
      id = metric_query.key

      metric {
        namespace   = var.name
        metric_name = metric_query.value
        dimensions  = { job = each.value.job }
        stat        = each.value.statistic
        period      = 60
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "database" {
  count = var.database == null ? 0 : 1

  alarm_name          = "${var.name}-database-busy"
  alarm_description   = "The database is busy for minutes. Give it a larger class or more capacity."
  namespace           = "AWS/RDS"
  metric_name         = "CPUUtilization"
  dimensions          = { (var.database.dimension) = var.database.identifier }
  statistic           = "Average"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 80
  period              = 60
  evaluation_periods  = 10
  treat_missing_data  = "breaching"
  alarm_actions       = local.actions
  ok_actions          = local.actions
  tags                = var.tags
}
