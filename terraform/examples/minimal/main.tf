# One region, smallest machines: a directory, a database without a standby, a rendezvous. A restart of the directory is seen by
# nobody who has a session; while it is away for a minute nobody begins one.
data "aws_availability_zones" "here" {
  state = "available"
}

locals {
  zones      = slice(sort(data.aws_availability_zones.here.names), 0, 2)
  rendezvous = { one = local.zones[0] }
  address    = var.fingerprint == "" ? "" : "${module.directory.url}#${var.fingerprint}"
}

module "naming" {
  source = "../../modules/naming"

  name  = var.name
  cidr  = "10.20.0.0/20"
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

  name          = module.naming.name
  generated     = { database = 1 }
  given         = { for name in keys(local.rendezvous) : "rendezvous-${name}" => "One-time secret: sshnp-directory rendezvous add ${name}" }
  recovery_days = 0
  tags          = module.naming.tags
}

module "database" {
  source = "../../modules/database"

  name                     = module.naming.name
  engine                   = "rds"
  vpc_id                   = module.network.vpc_id
  subnet_ids               = values(module.network.private_subnet_ids)
  client_security_group_id = module.directory.security_group_id
  password_secret_arn      = module.secrets.arns["database"]
  password_version         = module.secrets.versions["database"]
  backup_days              = 7
  deletion_protection      = var.deletion_protection
  last_snapshot            = var.deletion_protection
  tags                     = module.naming.tags
}

module "observability" {
  source = "../../modules/observability"

  name     = module.naming.name
  services = var.fingerprint == "" ? ["directory"] : ["directory", "rendezvous"]
  database = { dimension = "DBInstanceIdentifier", identifier = module.database.identifier }
  tags     = module.naming.tags
}

module "directory" {
  source = "../../modules/directory"

  name                       = module.naming.name
  vpc_id                     = module.network.vpc_id
  public_subnet_ids          = module.network.public_subnet_ids
  private_subnet_ids         = module.network.private_subnet_ids
  replicas                   = 1
  size                       = { cpu = 256, memory = 512 }
  image                      = var.images.directory
  image_repository_arn       = var.image_repository_arn
  store                      = module.database.store
  database_security_group_id = module.database.security_group_id
  password_secret_arn        = module.secrets.arns["database"]
  database_ca                = file(var.database_ca_file)
  logs                       = module.observability.logs
  agent_image                = var.images.agent
  agent_configuration        = module.observability.directory_agent
  deletion_protection        = var.deletion_protection
  tags                       = module.naming.tags
}

module "rendezvous" {
  source = "../../modules/rendezvous"

  name                 = module.naming.name
  vpc_id               = module.network.vpc_id
  subnet_ids           = module.network.public_subnet_ids
  rendezvous           = var.fingerprint == "" ? {} : local.rendezvous
  secret_arns          = { for name in keys(local.rendezvous) : name => module.secrets.arns["rendezvous-${name}"] }
  directory_address    = local.address
  region_name          = var.region
  image                = var.images.directory
  image_repository_arn = var.image_repository_arn
  instance_type        = "t4g.nano"
  logs                 = module.observability.logs
  agent_configuration  = module.observability.rendezvous_agent
  tags                 = module.naming.tags
}

module "device" {
  count  = var.fingerprint == "" || var.owner == "" ? 0 : 1
  source = "../../modules/device_bootstrap"

  directory_address = local.address
  owner             = var.owner
  device            = "demo"
  managers          = [var.owner]
  image             = var.images.device
  ssh_port          = 0
}
