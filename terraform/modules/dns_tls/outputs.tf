output "certificate_arn" {
  description = "The certificate, once it is issued; empty without https."
  value       = var.https ? aws_acm_certificate_validation.directory[0].certificate_arn : ""
}
