variable "name" {
  description = "What the system is called, as in `np`; the other examples take the same."
  type        = string
  default     = "np"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "A name has 2 to 20 of a-z, 0-9 and hyphens, and begins with a letter."
  }
}

variable "region" {
  description = "The region, as in eu-west-1."
  type        = string
  default     = "eu-west-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "The region is one of AWS's, as in eu-west-1."
  }
}
