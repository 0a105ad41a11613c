locals {
  # Sixteen equal parts: the first ones are public, those from the ninth on private, so that more zones move nobody.
  public  = { for index, zone in var.zones : zone => cidrsubnet(var.cidr, 4, index) }
  private = { for index, zone in var.zones : zone => cidrsubnet(var.cidr, 4, index + 8) }
}
