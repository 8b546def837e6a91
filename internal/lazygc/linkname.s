// Go takes functions without a body only where there is an assembly file.
