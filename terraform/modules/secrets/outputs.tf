output "arns" {
  description = "Names to ARNs, of the generated and the given ones."
  value       = { for name, secret in merge(aws_secretsmanager_secret.generated, aws_secretsmanager_secret.given) : name => secret.arn }
}

output "versions" {
  description = "Names of the generated ones to their versions; what waits for this waits until they are there."
  value       = { for name, version in aws_secretsmanager_secret_version.generated : name => version.secret_string_wo_version }
}
