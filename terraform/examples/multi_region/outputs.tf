output "directory_url" {
  description = "How others reach the directory; # and the fingerprint behind it make the address."
  value       = module.directory.url
}

output "directory_address" {
  description = "The directory's address, which clients and devices have; empty until the fingerprint is known."
  value       = local.address
}

output "client_configuration" {
  description = "~/.config/sshnp/config.toml of clients."
  value       = local.address == "" ? "" : "directory = ${jsonencode(local.address)}\n"
}

output "shell" {
  description = "A shell beside the first directory, for sshnp-directory --data /data."
  value       = "aws ecs execute-command --region ${var.region} --cluster ${module.directory.cluster} --container directory --interactive --task $(aws ecs list-tasks --region ${var.region} --cluster ${module.directory.cluster} --service-name ${module.directory.services[0]} --query 'taskArns[0]' --output text) --command 'bash'"
}

output "iot_endpoint" {
  description = "The broker; this example has none, and devices wait at the directories."
  value       = ""
}

output "rendezvous_addresses" {
  description = "Where sessions meet, port 7801."
  value       = merge(module.rendezvous.addresses, module.america.addresses, module.asia.addresses)
}
