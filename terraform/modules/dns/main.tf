resource "cloudflare_dns_record" "this" {
  for_each = var.records

  zone_id  = var.zone_id
  name     = each.value.name
  type     = each.value.type
  content  = each.value.content
  proxied  = coalesce(each.value.proxied, each.value.type == "CNAME" && endswith(each.value.content, ".cfargotunnel.com"))
  ttl      = each.value.ttl
  priority = each.value.priority
  comment  = each.value.comment
}
