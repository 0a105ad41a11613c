variable "name" {
  description = "What this system is called: the beginning of all names, as in `np` or `np-test`."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name)) && !strcontains(var.name, "--")
    error_message = "A name has 2 to 20 of a-z, 0-9 and single hyphens, begins with a letter and ends with none, since load balancers take 32 in all."
  }
}

variable "cidr" {
  description = "Addresses of the network (IPv4, RFC 1918 or RFC 6598), a /16 to a /22."
  type        = string

  validation {
    condition     = can(cidrnetmask(var.cidr)) && try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 22, false)
    error_message = "The network is an IPv4 prefix of 16 to 22 bits, as in 10.20.0.0/16."
  }

  validation {
    condition     = try(cidrhost(var.cidr, 0) == split("/", var.cidr)[0], false)
    error_message = "The prefix has bits behind its length: 10.20.0.0/16, not 10.20.0.1/16."
  }

  validation {
    condition     = can(regex("^(10\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.|100\\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\\.)", var.cidr))
    error_message = "The addresses are private ones: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10."
  }
}

variable "zones" {
  description = "Availability zones to be in, as in [\"eu-west-1a\", \"eu-west-1b\"]: 2 to 4, since a database wants two."
  type        = list(string)

  validation {
    condition     = length(var.zones) >= 2 && length(var.zones) <= 4
    error_message = "There are 2 to 4 zones."
  }

  validation {
    condition     = length(distinct(var.zones)) == length(var.zones)
    error_message = "Each zone is there once."
  }

  validation {
    condition     = alltrue([for zone in var.zones : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$", zone))])
    error_message = "A zone is a region and a letter, as in eu-west-1a."
  }
}

variable "tags" {
  description = "Tags for everything, beside `sshnp` (the name) and `managed-by`."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key, value in var.tags : length(key) <= 128 && length(value) <= 256 && !startswith(lower(key), "aws:")])
    error_message = "A tag has 128 characters at most, its value 256, and none begins with aws:."
  }
}
