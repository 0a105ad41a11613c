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

variable "subnet_ids" {
  description = "Private subnets, in two zones at least."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2 && alltrue([for id in var.subnet_ids : startswith(id, "subnet-")])
    error_message = "There are at least two subnets, called subnet-...."
  }
}

variable "client_security_group_id" {
  description = "The group of those who may connect: the directories."
  type        = string

  validation {
    condition     = startswith(var.client_security_group_id, "sg-")
    error_message = "The group is called sg-...."
  }
}

variable "password_secret_arn" {
  description = "The secret that is the password of the user sshnp."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:secretsmanager:", var.password_secret_arn))
    error_message = "The secret is an ARN of Secrets Manager."
  }
}

variable "password_version" {
  description = "Its version, of the module secrets: a higher one has the database take the new password."
  type        = number

  validation {
    condition     = var.password_version >= 1
    error_message = "Versions begin with 1."
  }
}

variable "engine" {
  description = "`aurora`: Aurora PostgreSQL Serverless v2, in as many zones as it has instances. `rds`: one PostgreSQL, with a standby if `multi_az`."
  type        = string

  validation {
    condition     = contains(["aurora", "rds"], var.engine)
    error_message = "The engine is aurora or rds."
  }
}

variable "aurora" {
  description = "Aurora's version, number of instances (2: one takes over from the other within a minute) and capacity of each (ACU, 2 GB each)."
  type = object({
    version   = optional(string, "17.5")
    instances = optional(number, 2)
    min_acu   = optional(number, 0.5)
    max_acu   = optional(number, 4)
  })
  default = {}

  validation {
    condition     = var.aurora.instances >= 1 && var.aurora.instances <= 4
    error_message = "There are 1 to 4 instances."
  }

  validation {
    condition     = var.aurora.min_acu >= 0.5 && var.aurora.max_acu >= var.aurora.min_acu && var.aurora.max_acu <= 256
    error_message = "The capacity is from 0.5 ACU on, since one that pauses answers nobody for seconds, and at most 256."
  }
}

variable "rds" {
  description = "The version of PostgreSQL, class and storage (GB) of the instance, and whether it has a standby in another zone."
  type = object({
    version        = optional(string, "17.5")
    instance_class = optional(string, "db.t4g.micro")
    storage        = optional(number, 20)
    multi_az       = optional(bool, false)
  })
  default = {}

  validation {
    condition     = startswith(var.rds.instance_class, "db.")
    error_message = "The class is one of RDS, as in db.t4g.micro."
  }

  validation {
    condition     = var.rds.storage >= 20 && var.rds.storage <= 1000
    error_message = "The storage is 20 to 1000 GB."
  }
}

variable "backup_days" {
  description = "For how many days the database can be set back to any second: 1 to 35."
  type        = number
  default     = 14

  validation {
    condition     = var.backup_days >= 1 && var.backup_days <= 35
    error_message = "There are 1 to 35 days."
  }
}

variable "deletion_protection" {
  description = "Whether destroying it fails. Set to false, and apply, ahead of a destroy that is meant; a last snapshot is kept unless `last_snapshot` is false."
  type        = bool
  default     = true

  validation {
    condition     = var.deletion_protection != null
    error_message = "It is true or false."
  }
}

variable "last_snapshot" {
  description = "Whether destroying it leaves a snapshot."
  type        = bool
  default     = true

  validation {
    condition     = var.last_snapshot != null
    error_message = "It is true or false."
  }
}

variable "kms_key_arn" {
  description = "The key by which it is encrypted; empty: the account's own for RDS."
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
