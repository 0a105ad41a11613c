variable "name" {
  description = "The beginning of all names, of the module naming."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "The name is one that the module naming gives."
  }
}

variable "cidr" {
  description = "Addresses of the network (IPv4), of the module naming."
  type        = string

  validation {
    condition     = can(cidrnetmask(var.cidr))
    error_message = "The network is an IPv4 prefix, as in 10.20.0.0/16."
  }
}

variable "public_subnets" {
  description = "Zone to prefix, of the module naming: load balancers, directories and rendezvous, which all need the internet."
  type        = map(string)

  validation {
    condition     = length(var.public_subnets) >= 2 && alltrue([for prefix in values(var.public_subnets) : can(cidrnetmask(prefix))])
    error_message = "There are at least two public subnets, each an IPv4 prefix."
  }
}

variable "private_subnets" {
  description = "Zone to prefix, of the module naming: database and shared files, which reach nothing but the network itself."
  type        = map(string)

  validation {
    condition     = length(var.private_subnets) >= 2 && alltrue([for prefix in values(var.private_subnets) : can(cidrnetmask(prefix))])
    error_message = "There are at least two private subnets, each an IPv4 prefix."
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
