locals {
  name   = split("=", var.owner)[0]
  device = var.device == "" ? "$${DEVICE}" : var.device

  server = var.ssh_port == 0 ? ["-s"] : ["--ssh-port", tostring(var.ssh_port)]
  wait = var.broker == "" ? [] : [
    "--mqtt", "mqtts://${var.broker}:8883", "--mqtt-cert", "/etc/sshnp/mqtt/cert.pem", "--mqtt-key", "/etc/sshnp/mqtt/key.pem",
  ]

  compose = templatefile("${path.module}/compose.yml.tftpl", {
    image          = var.image
    directory      = jsonencode(var.directory_address)
    enroll_command = jsonencode([var.owner, local.device, "-d", "--token", "/handed-over/token"])
    volumes        = jsonencode(concat(["sshnp-keys:/keys"], var.broker == "" ? [] : ["/etc/sshnp/mqtt:/etc/sshnp/mqtt:ro"]))
    command        = jsonencode(concat(["-a", local.name, "-m", join(",", var.managers), "-d", local.device], local.server, local.wait))
  })
}
