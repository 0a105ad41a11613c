resource "aws_route53_record" "directory" {
  zone_id = var.zone_id
  name    = var.host_name
  type    = "A"

  alias {
    name                   = var.balancer.host_name
    zone_id                = var.balancer.zone_id
    evaluate_target_health = false # with no directory ready there is no better address either
  }
}

resource "aws_acm_certificate" "directory" {
  count = var.https ? 1 : 0

  domain_name       = var.host_name
  validation_method = "DNS"
  key_algorithm     = "EC_prime256v1"
  tags              = var.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "validation" {
  count = var.https ? 1 : 0

  zone_id         = var.zone_id
  name            = one(aws_acm_certificate.directory[0].domain_validation_options).resource_record_name
  type            = one(aws_acm_certificate.directory[0].domain_validation_options).resource_record_type
  records         = [one(aws_acm_certificate.directory[0].domain_validation_options).resource_record_value]
  ttl             = 300
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "directory" {
  count = var.https ? 1 : 0

  certificate_arn         = aws_acm_certificate.directory[0].arn
  validation_record_fqdns = [aws_route53_record.validation[0].fqdn]
}
