output "name" {
  description = "The beginning of all names."
  value       = var.name
}

output "cidr" {
  description = "Addresses of the network."
  value       = var.cidr
}

output "public_subnets" {
  description = "Zone to prefix of its public subnet, a sixteenth of the network each."
  value       = tomap(local.public)
}

output "private_subnets" {
  description = "Zone to prefix of its private subnet, a sixteenth of the network each."
  value       = tomap(local.private)
}

output "tags" {
  description = "Tags for everything."
  value       = tomap(merge(var.tags, { sshnp = var.name, managed-by = "terraform" }))
}
