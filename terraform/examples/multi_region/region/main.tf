# A region with rendezvous and nothing else: a network, secrets and logs of its own.
data "aws_region" "here" {}

data "aws_availability_zones" "here" {
  state = "available"
}

locals {
  zones      = slice(sort(data.aws_availability_zones.here.names), 0, 2)
  rendezvous = { for index, name in var.rendezvous : name => local.zones[index % 2] }
}

module "naming" {
  source = "../../../modules/naming"

  name  = var.name
  cidr  = var.cidr
  zones = local.zones
}

module "network" {
  source = "../../../modules/network"

  name            = module.naming.name
  cidr            = module.naming.cidr
  public_subnets  = module.naming.public_subnets
  private_subnets = module.naming.private_subnets
  tags            = module.naming.tags
}

module "secrets" {
  source = "../../../modules/secrets"

  name  = module.naming.name
  given = { for name in var.rendezvous : "rendezvous-${name}" => "One-time secret: sshnp-directory rendezvous add ${name}" }
  tags  = module.naming.tags
}

module "observability" {
  source = "../../../modules/observability"

  name     = module.naming.name
  services = !var.has_directory ? [] : ["rendezvous"]
  tags     = module.naming.tags
}

module "rendezvous" {
  source = "../../../modules/rendezvous"

  name                 = module.naming.name
  vpc_id               = module.network.vpc_id
  subnet_ids           = module.network.public_subnet_ids
  rendezvous           = !var.has_directory ? {} : local.rendezvous
  secret_arns          = { for name in var.rendezvous : name => module.secrets.arns["rendezvous-${name}"] }
  directory_address    = var.directory_address
  region_name          = data.aws_region.here.region
  image                = var.image
  image_repository_arn = var.image_repository_arn
  logs                 = module.observability.logs
  agent_configuration  = module.observability.rendezvous_agent
  tags                 = module.naming.tags
}
