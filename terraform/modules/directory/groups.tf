# Who may speak to whom. Each rule is a resource, so that none can be added by hand unseen.
locals {
  listeners = var.https ? [var.port, 443] : [var.port]
}

resource "aws_security_group" "balancer" {
  name        = "${var.name}-balancer"
  description = "The directories' listeners"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-balancer" })
}

resource "aws_vpc_security_group_ingress_rule" "listeners" {
  for_each = { for pair in setproduct(local.listeners, var.allowed_cidrs) : "${pair[0]} ${pair[1]}" => { port = pair[0], cidr = pair[1] } }

  security_group_id = aws_security_group.balancer.id
  description       = "devices and people"
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  tags              = var.tags
}

resource "aws_vpc_security_group_egress_rule" "balancer_to_directories" {
  security_group_id            = aws_security_group.balancer.id
  description                  = "directories"
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = 7800
  to_port                      = 7800
  tags                         = var.tags
}

resource "aws_security_group" "this" {
  name        = "${var.name}-directory"
  description = "Directories"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-directory" })
}

resource "aws_vpc_security_group_ingress_rule" "directories_from_balancer" {
  security_group_id            = aws_security_group.this.id
  description                  = "balancer"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = 7800
  to_port                      = 7800
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "directories_to_database" {
  security_group_id            = aws_security_group.this.id
  description                  = "database"
  referenced_security_group_id = var.database_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "directories_to_files" {
  security_group_id            = aws_security_group.this.id
  description                  = "files"
  referenced_security_group_id = aws_security_group.files.id
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
  tags                         = var.tags
}

# Images, secrets, logs and shells (443), and the broker (8883): AWS's services, which have no fixed addresses.
resource "aws_vpc_security_group_egress_rule" "directories_to_services" {
  for_each = toset(var.broker == null ? ["443"] : ["443", "8883"])

  security_group_id = aws_security_group.this.id
  description       = "AWS"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.key)
  to_port           = tonumber(each.key)
  tags              = var.tags
}

resource "aws_security_group" "files" {
  name        = "${var.name}-files"
  description = "Files, for the directories alone"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-files" })
}

resource "aws_vpc_security_group_ingress_rule" "files_from_directories" {
  security_group_id            = aws_security_group.files.id
  description                  = "directories"
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
  tags                         = var.tags
}
