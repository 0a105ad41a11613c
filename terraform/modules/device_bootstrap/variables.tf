variable "directory_address" {
  description = "The directory's address, http(s)://HOST:PORT#SHA256:...."
  type        = string

  validation {
    condition     = can(regex("^https?://[a-z0-9.-]+(:[0-9]+)?#SHA256:[A-Za-z0-9+/]{43}$", var.directory_address))
    error_message = "The address is what sshnp-directory address prints."
  }
}

variable "owner" {
  description = "The name that the device belongs to, with its owner's fingerprint: @device=SHA256:.... It is compared, so that nobody else's device is made."
  type        = string

  validation {
    condition     = can(regex("^@[a-z0-9][a-z0-9._-]{0,62}=SHA256:[A-Za-z0-9+/]{43}$", var.owner))
    error_message = "The owner is @NAME=SHA256:..., as sshnp-keys show @NAME prints it."
  }
}

variable "device" {
  description = "What the device is called under that name; empty: its host name."
  type        = string
  default     = ""

  validation {
    condition     = var.device == "" || can(regex("^[a-z0-9][a-z0-9-]{0,62}$", var.device))
    error_message = "A device is called 1 to 63 of a-z, 0-9 and hyphens."
  }
}

variable "managers" {
  description = "Who may come in: names, with a fingerprint each."
  type        = list(string)

  validation {
    condition     = length(var.managers) > 0 && alltrue([for manager in var.managers : can(regex("^@[a-z0-9][a-z0-9._-]{0,62}(=SHA256:[A-Za-z0-9+/]{43})?$", manager))])
    error_message = "A manager is @NAME or @NAME=SHA256:...."
  }
}

variable "image" {
  description = "The image, target `device` of compose/Dockerfile, by its digest: HOST/NAME@sha256:...."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9.:/_-]+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "The image is named by its digest, NAME@sha256:..., so that what was looked at is what runs."
  }
}

variable "ssh_port" {
  description = "The port of the machine's own SSH server, which clients reach; 0: the container's own server, for a demonstration."
  type        = number
  default     = 22

  validation {
    condition     = var.ssh_port >= 0 && var.ssh_port <= 65535 && floor(var.ssh_port) == var.ssh_port
    error_message = "The port is 0 to 65535."
  }
}

variable "broker" {
  description = "The broker's host, of the module iot; empty: the device waits at the directory. Its certificate is /etc/sshnp/mqtt-cert.pem, the key mqtt-key.pem beside it, which you put there."
  type        = string
  default     = ""

  validation {
    condition     = var.broker == "" || can(regex("^([a-z0-9-]+\\.)+[a-z]+$", var.broker))
    error_message = "The broker is a host name."
  }
}

variable "packages" {
  description = "What brings docker and docker compose: of Ubuntu 24.04; Debian 13 has docker.io and docker-compose."
  type        = list(string)
  default     = ["docker.io", "docker-compose-v2"]

  validation {
    condition     = alltrue([for name in var.packages : can(regex("^[a-z0-9][a-z0-9.+-]+$", name))])
    error_message = "A package is called a-z, 0-9, dots, plus and hyphens."
  }
}
