output "url" {
  description = "How others reach the directories; with # and the fingerprint it is their address."
  value       = local.url
}

output "host_name" {
  description = "The load balancer's own name."
  value       = aws_lb.this.dns_name
}

output "zone_id" {
  description = "The load balancer's zone, for an alias record."
  value       = aws_lb.this.zone_id
}

output "security_group_id" {
  description = "The group of the directories, which the database lets in."
  value       = aws_security_group.this.id
}

output "cluster" {
  description = "The ECS cluster, for aws ecs execute-command."
  value       = aws_ecs_cluster.this.name
}

output "services" {
  description = "The ECS services, one for each directory."
  value       = [for service in aws_ecs_service.this : service.name]
}
