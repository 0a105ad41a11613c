output "logs" {
  description = "Log groups: of the services, and of their metrics."
  value       = { services = aws_cloudwatch_log_group.services.name, metrics = aws_cloudwatch_log_group.metrics.name }
}

output "directory_agent" {
  description = "The CloudWatch agent's configuration beside a directory, and its scraper's."

  value = {
    agent = templatefile("${path.module}/agent.json.tftpl", {
      log_group    = jsonencode(aws_cloudwatch_log_group.metrics.name)
      scraper_path = jsonencode("env:PROMETHEUS_CONFIG_CONTENT")
      namespace    = jsonencode(var.name)
      matcher      = jsonencode("^${local.jobs.directory}$")
      selectors    = jsonencode(local.selectors.directory)
    })
    scraper = templatefile("${path.module}/scraper.yaml.tftpl", { job = local.jobs.directory, port = 9464 })
  }
}

output "rendezvous_agent" {
  description = "The CloudWatch agent's configuration beside a rendezvous, and its scraper's."

  value = {
    agent = templatefile("${path.module}/agent.json.tftpl", {
      log_group    = jsonencode(aws_cloudwatch_log_group.metrics.name)
      scraper_path = jsonencode("/etc/sshnp/scraper.yaml")
      namespace    = jsonencode(var.name)
      matcher      = jsonencode("^${local.jobs.rendezvous}$")
      selectors    = jsonencode(local.selectors.rendezvous)
    })
    scraper = templatefile("${path.module}/scraper.yaml.tftpl", { job = local.jobs.rendezvous, port = 9465 })
  }
}

output "alarms" {
  description = "Names of the alarms."
  value       = concat([for alarm in aws_cloudwatch_metric_alarm.services : alarm.alarm_name], aws_cloudwatch_metric_alarm.database[*].alarm_name)
}
