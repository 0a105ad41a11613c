variable "name" {
  description = "The beginning of all names, of the module naming."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "The name is one that the module naming gives."
  }
}

variable "vpc_id" {
  description = "The network of this region, of the module network."
  type        = string

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "The network is called vpc-...."
  }
}

variable "subnet_ids" {
  description = "Zone to public subnet, of the module network."
  type        = map(string)

  validation {
    condition     = length(var.subnet_ids) >= 1 && alltrue([for id in values(var.subnet_ids) : startswith(id, "subnet-")])
    error_message = "There is at least one subnet, called subnet-...."
  }
}

variable "rendezvous" {
  description = "Each rendezvous of this region: its name at the directory (`sshnp-directory rendezvous add NAME`) to its zone."
  type        = map(string)

  validation {
    condition     = length(var.rendezvous) <= 20 && alltrue([for name in keys(var.rendezvous) : can(regex("^[a-z][a-z0-9-]{0,30}$", name))])
    error_message = "There are 20 at most, each called a-z, 0-9 and hyphens."
  }

  validation {
    condition     = alltrue([for zone in values(var.rendezvous) : contains(keys(var.subnet_ids), zone)])
    error_message = "Each is in a zone of `subnet_ids`."
  }
}

variable "secret_arns" {
  description = "Name of each rendezvous to the secret in which its one-time secret is, of the module secrets. Used once; it may be emptied then."
  type        = map(string)

  validation {
    condition     = alltrue([for arn in values(var.secret_arns) : can(regex("^arn:aws[a-z-]*:secretsmanager:", arn))])
    error_message = "A secret is an ARN of Secrets Manager."
  }

  validation {
    condition     = alltrue([for name in keys(var.rendezvous) : contains(keys(var.secret_arns), name)])
    error_message = "Each rendezvous has a secret."
  }
}

variable "directory_address" {
  description = "The directory's address, http(s)://HOST:PORT#SHA256:...; empty while there is none, and no rendezvous."
  type        = string

  validation {
    condition     = (var.directory_address == "" && length(var.rendezvous) == 0) || can(regex("^https?://[a-z0-9.-]+(:[0-9]+)?#SHA256:[A-Za-z0-9+/]{43}$", var.directory_address))
    error_message = "The address is what sshnp-directory address prints."
  }
}

variable "directory_port" {
  description = "The port in that address."
  type        = number
  default     = 7800

  validation {
    condition     = var.directory_port >= 1 && var.directory_port <= 65535
    error_message = "The port is 1 to 65535."
  }
}

variable "region_name" {
  description = "Which rendezvous stand together, as in eu-west."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9-]{1,32}$", var.region_name))
    error_message = "The region is 1 to 32 of a-z, 0-9 and hyphens."
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

variable "instance_type" {
  description = "An arm64 machine: t4g.micro carries hundreds of sessions, and its line is the limit."
  type        = string
  default     = "t4g.micro"

  validation {
    condition     = can(regex("^[a-z]+[0-9]+g[a-z]*\\.[a-z0-9]+$", var.instance_type))
    error_message = "The machine is one of Graviton's, as in t4g.micro or c7gn.large."
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

variable "drain_seconds" {
  description = "How long sessions may go on when a machine is replaced: 0 to 6000."
  type        = number
  default     = 600

  validation {
    condition     = var.drain_seconds >= 0 && var.drain_seconds <= 6000 && floor(var.drain_seconds) == var.drain_seconds
    error_message = "There are 0 to 6000 whole seconds."
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

variable "agent_configuration" {
  description = "The CloudWatch agent's configuration and that of its scraper, of the module observability."
  type        = object({ agent = string, scraper = string })

  validation {
    condition     = can(jsondecode(var.agent_configuration.agent))
    error_message = "The agent's configuration is JSON."
  }
}

variable "kms_key_arn" {
  description = "The key of volumes and secrets; empty: the account's own ones."
  type        = string
  default     = ""

  validation {
    condition     = var.kms_key_arn == "" || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "The key is the ARN of a KMS key."
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
