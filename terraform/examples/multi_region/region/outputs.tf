output "addresses" {
  description = "Name of each rendezvous to its address."
  value       = module.rendezvous.addresses
}
