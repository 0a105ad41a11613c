variable "name" {
  description = "The beginning of all names, of the module naming."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "The name is one that the module naming gives."
  }
}

variable "generated" {
  description = "Secrets that are made here, once for each version: what for, as in { database = 1 }. A higher version makes a new one."
  type        = map(number)
  default     = {}

  validation {
    condition     = alltrue([for name, version in var.generated : can(regex("^[a-z][a-z0-9-]{0,40}$", name)) && version >= 1 && floor(version) == version])
    error_message = "A secret is called a-z, 0-9 and hyphens, and its version is a whole number from 1 on."
  }
}

variable "given" {
  description = "Secrets that somebody puts in afterwards (aws secretsmanager put-secret-value): names to what they are for."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name, purpose in var.given : can(regex("^[a-z][a-z0-9-]{0,40}$", name)) && length(purpose) > 0])
    error_message = "A secret is called a-z, 0-9 and hyphens, and says what it is for."
  }
}

variable "kms_key_arn" {
  description = "The key by which they are encrypted; empty: the account's own for Secrets Manager."
  type        = string
  default     = ""

  validation {
    condition     = var.kms_key_arn == "" || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "The key is the ARN of a KMS key."
  }
}

variable "recovery_days" {
  description = "For how many days a destroyed secret can be had back: 7 to 30, or 0 for not at all."
  type        = number
  default     = 7

  validation {
    condition     = var.recovery_days == 0 || (var.recovery_days >= 7 && var.recovery_days <= 30)
    error_message = "There are 7 to 30 days, or 0."
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
