terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.45"
    }
  }

  backend "s3" {
    key = "multi_region.tfstate"
  }
}

provider "aws" {
  region = var.region
}

provider "aws" {
  alias  = "america"
  region = var.regions.america
}

provider "aws" {
  alias  = "asia"
  region = var.regions.asia
}
