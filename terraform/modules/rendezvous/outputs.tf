output "addresses" {
  description = "Name of each rendezvous to its address, for those who list what their networks may reach (port 7801)."
  value       = { for name, address in aws_eip.this : name => address.public_ip }
}

output "groups" {
  description = "Name of each rendezvous to its auto scaling group."
  value       = { for name, group in aws_autoscaling_group.this : name => group.name }
}

output "security_group_id" {
  description = "The group of the rendezvous."
  value       = aws_security_group.this.id
}
