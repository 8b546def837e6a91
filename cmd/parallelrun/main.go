// Command parallelrun migrates organizations from a legacy IAM system to
// Keymate while both stay in service.
package main

func main() {}
