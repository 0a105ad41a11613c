terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.45"
    }
  }

  backend "s3" {
    key = "ha.tfstate"
  }
}

provider "aws" {
  region = var.region
}
