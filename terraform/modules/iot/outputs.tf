output "host" {
  description = "The broker: devices and directories say mqtts://HOST:8883."
  value       = data.aws_iot_endpoint.data.endpoint_address
}

output "directory_certificate" {
  description = "The directories' certificate (PEM)."
  value       = aws_iot_certificate.directory.certificate_pem
}

output "directory_topic" {
  description = "DIRECTORY in the topics of docs/mqtt.md, which is made of the fingerprint."
  value       = local.directory
}

output "thing_group" {
  description = "The group that all devices are in."
  value       = aws_iot_thing_group.devices.name
}

output "presence_log_group" {
  description = "Where it stands who was connected when."
  value       = aws_cloudwatch_log_group.presence.name
}
