output "endpoint" {
  description = "Host name of the primary; it follows a failover."
  value       = one(concat(aws_rds_cluster.this[*].endpoint, aws_db_instance.this[*].address))
}

output "store" {
  description = "What --store (SSHNP_STORE) takes, without the password; its file of certificates is the module directory's."
  value       = "postgres://sshnp@${one(concat(aws_rds_cluster.this[*].endpoint, aws_db_instance.this[*].address))}:5432/sshnp?sslmode=verify-full&sslrootcert=/dev/shm/sshnp/database-ca.pem"
}

output "identifier" {
  description = "What the database is called in CloudWatch's dimensions."
  value       = var.name
}

output "security_group_id" {
  description = "The group of the database."
  value       = aws_security_group.this.id
}
