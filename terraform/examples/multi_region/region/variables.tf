variable "name" {
  description = "The beginning of all names."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "The name is one that the module naming gives."
  }
}

variable "rendezvous" {
  description = "Names of the rendezvous of this region at the directory; the next zone each."
  type        = list(string)

  validation {
    condition     = length(var.rendezvous) >= 1 && length(distinct(var.rendezvous)) == length(var.rendezvous)
    error_message = "There is at least one, and none twice."
  }
}

variable "cidr" {
  description = "Addresses of the network."
  type        = string

  validation {
    condition     = can(cidrnetmask(var.cidr))
    error_message = "The network is an IPv4 prefix, as in 10.20.0.0/16."
  }
}

variable "directory_address" {
  description = "The directory's address once `has_directory`."
  type        = string

  validation {
    condition     = var.directory_address == "" || strcontains(var.directory_address, "#SHA256:")
    error_message = "The address is what sshnp-directory address prints."
  }
}

variable "has_directory" {
  description = "Whether the address is known; no rendezvous until then."
  type        = bool

  validation {
    condition     = var.has_directory != null
    error_message = "It is true or false."
  }
}

variable "image" {
  description = "The image `directory`, by its digest, from a registry that this region reaches."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9.:/_-]+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "The image is named by its digest, NAME@sha256:...."
  }
}

variable "image_repository_arn" {
  description = "The ECR repository of the image; empty: it is public."
  type        = string

  validation {
    condition     = var.image_repository_arn == "" || startswith(var.image_repository_arn, "arn:")
    error_message = "The repository is an ARN of ECR."
  }
}
