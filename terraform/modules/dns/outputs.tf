output "ids" {
  description = "The id of each record."
  value       = { for key, record in cloudflare_dns_record.this : key => record.id }
}
