variable "name" {
  description = "The beginning of all names, of the module naming."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "The name is one that the module naming gives."
  }
}

variable "vpc_id" {
  description = "The network, of the module network."
  type        = string

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "The network is called vpc-...."
  }
}

variable "public_subnet_ids" {
  description = "Zone to public subnet, of the module network: for the load balancer, and the directories behind it."
  type        = map(string)

  validation {
    condition     = length(var.public_subnet_ids) >= 2 && alltrue([for id in values(var.public_subnet_ids) : startswith(id, "subnet-")])
    error_message = "There are at least two subnets, called subnet-...."
  }
}

variable "private_subnet_ids" {
  description = "Zone to private subnet, of the module network: for the shared files."
  type        = map(string)

  validation {
    condition     = length(var.private_subnet_ids) >= 2 && alltrue([for id in values(var.private_subnet_ids) : startswith(id, "subnet-")])
    error_message = "There are at least two subnets, called subnet-...."
  }
}

variable "replicas" {
  description = "How many directories: 1 to 9. One that is lost is missed by nobody from two on."
  type        = number

  validation {
    condition     = var.replicas >= 1 && var.replicas <= 9 && floor(var.replicas) == var.replicas
    error_message = "There are 1 to 9 directories."
  }
}

variable "image" {
  description = "The image, target `directory` of compose/Dockerfile, by its digest: HOST/NAME@sha256:...."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9.:/_-]+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "The image is named by its digest, NAME@sha256:..., so that what was looked at is what runs."
  }
}

variable "image_repository_arn" {
  description = "The ECR repository of the image; empty: it is public."
  type        = string
  default     = ""

  validation {
    condition     = var.image_repository_arn == "" || can(regex("^arn:aws[a-z-]*:ecr:[a-z0-9-]+:[0-9]{12}:repository/", var.image_repository_arn))
    error_message = "The repository is an ARN of ECR."
  }
}

variable "size" {
  description = "Processor (1024 is one) and memory (MB) of each directory, as Fargate has them. 15,000 devices that wait at it take 300 MB."
  type        = object({ cpu = number, memory = number })
  default     = { cpu = 512, memory = 1024 }

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.size.cpu) && var.size.memory >= 2 * var.size.cpu && var.size.memory <= 8 * var.size.cpu
    error_message = "Processors are 256, 512, 1024, 2048 or 4096, with two to eight times as many MB."
  }
}

variable "host_name" {
  description = "How others reach it, as in np.example.org; empty: by the load balancer's own name."
  type        = string
  default     = ""

  validation {
    condition     = var.host_name == "" || can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,63}$", var.host_name))
    error_message = "The host name is a DNS name in small letters."
  }
}

variable "port" {
  description = "The load balancer's port: plain TCP, which ends nothing while anything is said within 6,000 s."
  type        = number
  default     = 7800

  validation {
    condition     = var.port >= 1 && var.port <= 65535 && var.port != 443
    error_message = "The port is 1 to 65535; 443 is that of `https`."
  }
}

variable "https" {
  description = "Whether others come by https on port 443 too, and are told that. Nothing rests on it. Takes `host_name`."
  type        = bool
  default     = false

  validation {
    condition     = !var.https || var.host_name != ""
    error_message = "A certificate is for a name: set host_name."
  }
}

variable "certificate_arn" {
  description = "The certificate of the module dns_tls, for `https`."
  type        = string
  default     = ""

  validation {
    condition     = var.certificate_arn == "" || can(regex("^arn:aws[a-z-]*:acm:", var.certificate_arn))
    error_message = "The certificate is an ARN of ACM."
  }
}

variable "allowed_cidrs" {
  description = "From where devices and people come (IPv4)."
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.allowed_cidrs) > 0 && length(var.allowed_cidrs) <= 20 && alltrue([for cidr in var.allowed_cidrs : can(cidrnetmask(cidr))])
    error_message = "There are 1 to 20 prefixes."
  }
}

variable "store" {
  description = "The database, without the password, of the module database."
  type        = string

  validation {
    condition     = can(regex("^postgres://[a-z]+@[^:@/]+", var.store)) && strcontains(var.store, "sslmode=verify-full")
    error_message = "The store is postgres://USER@HOST/DATABASE?sslmode=verify-full..., without a password."
  }
}

variable "database_security_group_id" {
  description = "The group of the database."
  type        = string

  validation {
    condition     = startswith(var.database_security_group_id, "sg-")
    error_message = "The group is called sg-...."
  }
}

variable "password_secret_arn" {
  description = "The secret that is the database's password."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:secretsmanager:", var.password_secret_arn))
    error_message = "The secret is an ARN of Secrets Manager."
  }
}

variable "database_ca" {
  description = "Who vouches for the database (PEM): the bundle of your region, https://truststore.pki.rds.amazonaws.com."
  type        = string

  validation {
    condition     = strcontains(var.database_ca, "-----BEGIN CERTIFICATE-----") && length(var.database_ca) < 40000
    error_message = "It is the bundle of one region, certificates in PEM."
  }
}

variable "broker" {
  description = "AWS IoT Core, of the module iot: its host, the directory's certificate (PEM) and the secret that is its key. Null: devices wait at the directories."
  type        = object({ host = string, certificate = string, key_secret_arn = string })
  default     = null

  validation {
    condition     = var.broker == null || try(strcontains(var.broker.certificate, "-----BEGIN CERTIFICATE-----") && can(regex("^arn:aws[a-z-]*:secretsmanager:", var.broker.key_secret_arn)), false)
    error_message = "The certificate is in PEM, and its key an ARN of Secrets Manager."
  }
}

variable "logs" {
  description = "Log groups of the module observability: of the services and of their metrics."
  type        = object({ services = string, metrics = string })

  validation {
    condition     = length(var.logs.services) > 0 && length(var.logs.metrics) > 0
    error_message = "Both groups have a name."
  }
}

variable "agent_image" {
  description = "The CloudWatch agent, by its digest; it reads the metrics of each directory."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9.:/_-]+@sha256:[0-9a-f]{64}$", var.agent_image))
    error_message = "The image is named by its digest, NAME@sha256:...."
  }
}

variable "agent_configuration" {
  description = "The agent's configuration and that of its scraper, of the module observability."
  type        = object({ agent = string, scraper = string })

  validation {
    condition     = can(jsondecode(var.agent_configuration.agent))
    error_message = "The agent's configuration is JSON."
  }
}

variable "kms_key_arn" {
  description = "The key of files and secrets; empty: the account's own ones."
  type        = string
  default     = ""

  validation {
    condition     = var.kms_key_arn == "" || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "The key is the ARN of a KMS key."
  }
}

variable "deletion_protection" {
  description = "Whether destroying the load balancer fails, whose name is in the address. Set to false, and apply, ahead of a destroy that is meant."
  type        = bool
  default     = true

  validation {
    condition     = var.deletion_protection != null
    error_message = "It is true or false."
  }
}

variable "tags" {
  description = "Tags for everything, of the module naming."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:")])
    error_message = "No tag begins with aws:."
  }
}
