variable "name" {
  description = "The beginning of all names, of the module naming."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "The name is one that the module naming gives."
  }
}

variable "log_retention_days" {
  description = "For how long logs and metrics' lines are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 or 1096 days."
  }
}

variable "topic_arn" {
  description = "The SNS topic that alarms go to; empty: they are to be looked at."
  type        = string
  default     = ""

  validation {
    condition     = var.topic_arn == "" || can(regex("^arn:aws[a-z-]*:sns:", var.topic_arn))
    error_message = "The topic is an ARN of SNS."
  }
}

variable "services" {
  description = "Which services run in this region, since one that says nothing is alarmed of: `directory`, `rendezvous`."
  type        = set(string)

  validation {
    condition     = alltrue([for service in var.services : contains(["directory", "rendezvous"], service)])
    error_message = "Services are directory and rendezvous."
  }
}

variable "has_broker" {
  description = "Whether devices wait at a broker."
  type        = bool
  default     = false

  validation {
    condition     = var.has_broker != null
    error_message = "It is true or false."
  }
}

variable "database" {
  description = "How CloudWatch calls the database: DBInstanceIdentifier or DBClusterIdentifier, and its value. Null: there is none here."
  type        = object({ dimension = string, identifier = string })
  default     = null

  validation {
    condition     = var.database == null || try(contains(["DBInstanceIdentifier", "DBClusterIdentifier"], var.database.dimension), false)
    error_message = "The dimension is DBInstanceIdentifier or DBClusterIdentifier."
  }
}

variable "kms_key_arn" {
  description = "The key of the log groups; empty: CloudWatch's own. It must let logs.REGION.amazonaws.com use it."
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
