resource "aws_lb" "this" {
  name                             = "${var.name}-directory"
  load_balancer_type               = "network"
  internal                         = false
  subnets                          = values(var.public_subnet_ids)
  security_groups                  = [aws_security_group.balancer.id]
  enable_cross_zone_load_balancing = true
  enable_deletion_protection       = var.deletion_protection
  tags                             = var.tags
}

# Limits go by the sender's address, so the balancer leaves it as it is.
resource "aws_lb_target_group" "this" {
  name                   = "${var.name}-directory"
  target_type            = "ip"
  protocol               = "TCP"
  port                   = 7800
  vpc_id                 = var.vpc_id
  preserve_client_ip     = true
  connection_termination = false
  deregistration_delay   = 30
  tags                   = var.tags

  health_check {
    protocol            = "HTTP"
    port                = "7800"
    path                = "/readyz"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

# Nothing in between that would end a connection of its own accord: heartbeats come every 20 s, or every minute (--metered).
resource "aws_lb_listener" "tcp" {
  load_balancer_arn        = aws_lb.this.arn
  port                     = var.port
  protocol                 = "TCP"
  tcp_idle_timeout_seconds = 6000
  tags                     = var.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }
}

# For networks that let nothing else out. A listener of this kind ends what is silent for 350 s, five times a heartbeat.
resource "aws_lb_listener" "tls" {
  count = var.https ? 1 : 0

  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "TLS"
  certificate_arn   = var.certificate_arn
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  alpn_policy       = "None"
  tags              = var.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }
}
