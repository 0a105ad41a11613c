variable "name" {
  description = "What the system is called: the beginning of all names."
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

variable "images" {
  description = "Images by their digests, HOST/NAME@sha256:...: `directory` and `device` of compose/Dockerfile, and `agent`, AWS's CloudWatch agent."
  type        = object({ directory = string, device = string, agent = string })

  validation {
    condition     = alltrue([for image in values(var.images) : can(regex("^[a-z0-9.:/_-]+@sha256:[0-9a-f]{64}$", image))])
    error_message = "Images are named by their digests, NAME@sha256:...."
  }
}

variable "image_repository_arn" {
  description = "The ECR repository of `images.directory`, an output of the example bootstrap; empty: it is public."
  type        = string
  default     = ""

  validation {
    condition     = var.image_repository_arn == "" || can(regex("^arn:aws[a-z-]*:ecr:[a-z0-9-]+:[0-9]{12}:repository/", var.image_repository_arn))
    error_message = "The repository is an ARN of ECR."
  }
}

variable "database_ca_file" {
  description = "The bundle of certificates of your region's databases: https://truststore.pki.rds.amazonaws.com/REGION/REGION-bundle.pem"
  type        = string
  default     = "rds-ca.pem"

  validation {
    condition     = fileexists(var.database_ca_file)
    error_message = "The file is not there. Fetch it: curl -o rds-ca.pem https://truststore.pki.rds.amazonaws.com/REGION/REGION-bundle.pem"
  }
}

variable "fingerprint" {
  description = "The directory's fingerprint, which it makes at its first start: empty for the first apply, SHA256:... from then on."
  type        = string
  default     = ""

  validation {
    condition     = var.fingerprint == "" || can(regex("^SHA256:[A-Za-z0-9+/]{43}$", var.fingerprint))
    error_message = "The fingerprint is what sshnp-directory address prints behind the #."
  }
}

variable "deletion_protection" {
  description = "Whether a destroy fails at database and load balancer; set to false, and apply, ahead of one that is meant."
  type        = bool
  default     = true

  validation {
    condition     = var.deletion_protection != null
    error_message = "It is true or false."
  }
}

variable "zones" {
  description = "Two to four availability zones; empty: the first two of the region."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.zones) == 0 || (length(var.zones) >= 2 && length(var.zones) <= 4)
    error_message = "There are two to four zones."
  }
}

variable "dns" {
  description = "The directory's own name and its Route 53 zone. Null: the load balancer's name is in the address, and a new load balancer a new address."
  type        = object({ host_name = string, zone_id = string })
  default     = null

  validation {
    condition     = var.dns == null || try(can(regex("^Z[A-Z0-9]+$", var.dns.zone_id)), false)
    error_message = "The zone is called Z...."
  }
}

variable "https" {
  description = "Whether clients come by https on port 443; takes `dns`. What is said is sealed either way."
  type        = bool
  default     = false

  validation {
    condition     = !var.https || var.dns != null
    error_message = "A certificate is for a name: set dns."
  }
}

variable "broker" {
  description = "AWS IoT Core as the place to wait: files of your authority's certificate and of the directories' certificate request (PEM). Null: devices wait at the directories. Takes the fingerprint."
  type        = object({ device_ca_file = string, request_file = string })
  default     = null

  validation {
    condition     = var.broker == null || try(fileexists(var.broker.device_ca_file) && fileexists(var.broker.request_file), false)
    error_message = "Both files are there."
  }
}

variable "owner" {
  description = "For cloud-init of devices, once their name is activated: @device=SHA256:.... Empty: none yet."
  type        = string
  default     = ""

  validation {
    condition     = var.owner == "" || can(regex("^@[a-z0-9][a-z0-9._-]{0,62}=SHA256:[A-Za-z0-9+/]{43}$", var.owner))
    error_message = "The owner is @NAME=SHA256:..., as sshnp-keys show @NAME prints it."
  }
}

variable "managers" {
  description = "Who may come in to those devices: names, with a fingerprint each."
  type        = list(string)
  default     = []

  validation {
    condition     = var.owner == "" || length(var.managers) > 0
    error_message = "Somebody has to be allowed to come in."
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
