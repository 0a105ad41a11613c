output "backend" {
  description = "What backend.hcl of the other examples is: terraform init -backend-config=backend.hcl"
  value       = <<-EOT
    bucket       = "${aws_s3_bucket.state.bucket}"
    region       = "${var.region}"
    use_lockfile = true
    encrypt      = true
  EOT
}

output "repositories" {
  description = "Where the images go: docker push URL:TAG"
  value       = { for name, repository in aws_ecr_repository.this : name => { url = repository.repository_url, arn = repository.arn } }
}
