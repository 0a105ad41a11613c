output "cloud_init" {
  description = "User data of a machine that is to be a device; the same for all of a fleet if `device` is empty."

  value = templatefile("${path.module}/cloud-init.yaml.tftpl", {
    packages = jsonencode(var.packages)
    compose  = base64encode(local.compose)
    enroll   = base64encode(file("${path.module}/enroll"))
  })
}

output "compose" {
  description = "The same as a compose file, for a machine that has docker."
  value       = local.compose
}
