variable "zone_id" {
  description = "The Route 53 zone of the host name."
  type        = string

  validation {
    condition     = can(regex("^Z[A-Z0-9]{5,31}$", var.zone_id))
    error_message = "The zone is called Z...."
  }
}

variable "host_name" {
  description = "How others reach the directory, as in np.example.org."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,63}$", var.host_name))
    error_message = "The host name is a DNS name in small letters."
  }
}

variable "balancer" {
  description = "The load balancer's own name and zone, of the module directory."
  type        = object({ host_name = string, zone_id = string })

  validation {
    condition     = var.balancer.host_name != "" && var.balancer.zone_id != ""
    error_message = "The load balancer has a name and a zone."
  }
}

variable "https" {
  description = "Whether to have a certificate, for clients whose networks let out nothing but https."
  type        = bool

  validation {
    condition     = var.https != null
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
