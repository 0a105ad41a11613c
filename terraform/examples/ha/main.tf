# One region, two zones or more: three directories on Aurora with two instances, a rendezvous in each zone, and if you like AWS IoT Core
# as the place where devices wait. Any machine, and any zone, may be lost.
data "aws_availability_zones" "here" {
  state = "available"
}

locals {
  zones      = length(var.zones) > 0 ? var.zones : slice(sort(data.aws_availability_zones.here.names), 0, 2)
  rendezvous = { for index, zone in local.zones : "rz${index + 1}" => zone }
  address    = var.fingerprint == "" ? "" : "${module.directory.url}#${var.fingerprint}"
  has_broker = var.broker != null && var.fingerprint != ""
}

module "naming" {
  source = "../../modules/naming"

  name  = var.name
  cidr  = "10.20.0.0/16"
  zones = local.zones
}

module "network" {
  source = "../../modules/network"

  name            = module.naming.name
  cidr            = module.naming.cidr
  public_subnets  = module.naming.public_subnets
  private_subnets = module.naming.private_subnets
  tags            = module.naming.tags
}

module "secrets" {
  source = "../../modules/secrets"

  name      = module.naming.name
  generated = { database = 1 }
  given = merge(
    { for name in keys(local.rendezvous) : "rendezvous-${name}" => "One-time secret: sshnp-directory rendezvous add ${name}" },
    { broker-key = "Private key (PEM) of the directories' certificate at AWS IoT Core" },
  )
  tags = module.naming.tags
}

module "database" {
  source = "../../modules/database"

  name                     = module.naming.name
  engine                   = "aurora"
  vpc_id                   = module.network.vpc_id
  subnet_ids               = values(module.network.private_subnet_ids)
  client_security_group_id = module.directory.security_group_id
  password_secret_arn      = module.secrets.arns["database"]
  password_version         = module.secrets.versions["database"]
  deletion_protection      = var.deletion_protection
  last_snapshot            = var.deletion_protection
  tags                     = module.naming.tags
}

module "observability" {
  source = "../../modules/observability"

  name       = module.naming.name
  services   = var.fingerprint == "" ? ["directory"] : ["directory", "rendezvous"]
  has_broker = local.has_broker
  topic_arn  = var.topic_arn
  database   = { dimension = "DBClusterIdentifier", identifier = module.database.identifier }
  tags       = module.naming.tags
}

module "iot" {
  count  = local.has_broker ? 1 : 0
  source = "../../modules/iot"

  name              = module.naming.name
  fingerprint       = var.fingerprint
  device_ca         = file(var.broker.device_ca_file)
  directory_request = file(var.broker.request_file)
  tags              = module.naming.tags
}

module "directory" {
  source = "../../modules/directory"

  name                       = module.naming.name
  vpc_id                     = module.network.vpc_id
  public_subnet_ids          = module.network.public_subnet_ids
  private_subnet_ids         = module.network.private_subnet_ids
  replicas                   = 3
  image                      = var.images.directory
  image_repository_arn       = var.image_repository_arn
  host_name                  = var.dns == null ? "" : var.dns.host_name
  https                      = var.https
  certificate_arn            = try(module.dns_tls[0].certificate_arn, "")
  store                      = module.database.store
  database_security_group_id = module.database.security_group_id
  password_secret_arn        = module.secrets.arns["database"]
  database_ca                = file(var.database_ca_file)
  logs                       = module.observability.logs
  agent_image                = var.images.agent
  agent_configuration        = module.observability.directory_agent
  deletion_protection        = var.deletion_protection
  tags                       = module.naming.tags

  broker = !local.has_broker ? null : {
    host           = module.iot[0].host
    certificate    = module.iot[0].directory_certificate
    key_secret_arn = module.secrets.arns["broker-key"]
  }
}

module "dns_tls" {
  count  = var.dns == null ? 0 : 1
  source = "../../modules/dns_tls"

  zone_id   = var.dns.zone_id
  host_name = var.dns.host_name
  balancer  = { host_name = module.directory.host_name, zone_id = module.directory.zone_id }
  https     = var.https
  tags      = module.naming.tags
}

module "rendezvous" {
  source = "../../modules/rendezvous"

  name                 = module.naming.name
  vpc_id               = module.network.vpc_id
  subnet_ids           = module.network.public_subnet_ids
  rendezvous           = var.fingerprint == "" ? {} : local.rendezvous
  secret_arns          = { for name in keys(local.rendezvous) : name => module.secrets.arns["rendezvous-${name}"] }
  directory_address    = local.address
  directory_port       = var.https ? 443 : 7800
  region_name          = var.region
  image                = var.images.directory
  image_repository_arn = var.image_repository_arn
  logs                 = module.observability.logs
  agent_configuration  = module.observability.rendezvous_agent
  tags                 = module.naming.tags
}

module "device" {
  count  = var.fingerprint == "" || var.owner == "" ? 0 : 1
  source = "../../modules/device_bootstrap"

  directory_address = local.address
  owner             = var.owner
  managers          = var.managers
  image             = var.images.device
  broker            = local.has_broker ? module.iot[0].host : ""
}
