variable "name" {
  description = "The beginning of all names, of the module naming."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "The name is one that the module naming gives."
  }
}

variable "fingerprint" {
  description = "The directory's fingerprint, what follows # in its address: the topics are made of it."
  type        = string

  validation {
    condition     = can(regex("^SHA256:[A-Za-z0-9+/]{43}$", var.fingerprint))
    error_message = "The fingerprint is what sshnp-directory address prints behind the #: SHA256: and 43 characters."
  }
}

variable "device_ca" {
  description = "Your authority (PEM), which signs the devices' certificates: the common name of each is what `sshnp-directory broker-name @NAME/DEVICE` prints. The authority's key stays with you."
  type        = string

  validation {
    condition     = strcontains(var.device_ca, "-----BEGIN CERTIFICATE-----")
    error_message = "The authority is a certificate in PEM."
  }
}

variable "directory_request" {
  description = "The certificate request (PEM) of the directories' own certificate. Its key goes into the secret, and nowhere else."
  type        = string

  validation {
    condition     = strcontains(var.directory_request, "-----BEGIN CERTIFICATE REQUEST-----") && !strcontains(var.directory_request, "PRIVATE KEY")
    error_message = "It is a certificate request in PEM, without any key."
  }
}

variable "log_retention_days" {
  description = "For how long it is kept who was connected when."
  type        = number
  default     = 90

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 or 1096 days."
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
