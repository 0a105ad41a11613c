# Rendezvous in three regions, and one directory: sessions meet near both ends, wherever that is. More directories, Aurora, a name
# and AWS IoT Core go with it as in the example ha.
data "aws_availability_zones" "here" {
  state = "available"
}

locals {
  zones      = slice(sort(data.aws_availability_zones.here.names), 0, 2)
  rendezvous = { europe1 = local.zones[0], europe2 = local.zones[1] }
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

  name      = module.naming.name
  generated = { database = 1 }
  given     = { for name in keys(local.rendezvous) : "rendezvous-${name}" => "One-time secret: sshnp-directory rendezvous add ${name}" }
  tags      = module.naming.tags
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
  rds                      = { instance_class = "db.t4g.small", multi_az = true }
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
  replicas                   = 2
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
  logs                 = module.observability.logs
  agent_configuration  = module.observability.rendezvous_agent
  tags                 = module.naming.tags
}

# Images are pulled across regions; replicate the repository where that is to be nearer.
module "america" {
  source    = "./region"
  providers = { aws = aws.america }

  name                 = var.name
  cidr                 = "10.21.0.0/20"
  rendezvous           = ["america1", "america2"]
  has_directory        = var.fingerprint != ""
  directory_address    = local.address
  image                = var.images.directory
  image_repository_arn = var.image_repository_arn
}

module "asia" {
  source    = "./region"
  providers = { aws = aws.asia }

  name                 = var.name
  cidr                 = "10.22.0.0/20"
  rendezvous           = ["asia1", "asia2"]
  has_directory        = var.fingerprint != ""
  directory_address    = local.address
  image                = var.images.directory
  image_repository_arn = var.image_repository_arn
}
